"""What leaks from a federation as it is: its rounds asked, and the attacks of the meters run on what a role sees."""
