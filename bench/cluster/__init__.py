"""Several machines that train one network together: who they are, how they meet and end."""
