// A request to the kernel, as a message of its own: none is merged with the next (see view.py).
export function ask(model, kind) {
  model.send({ request: kind });
}

// The kernel's bytes as float32 numbers.
export function floats(view) {
  return view?.byteLength ? new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)) : new Float32Array();
}
