"""Model archives: obtained, verified and put into the model store; imported by the deployer only."""
