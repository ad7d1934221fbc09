// The element type of matrices: f16.
alias Component = f16;
