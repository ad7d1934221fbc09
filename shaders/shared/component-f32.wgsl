// The element type of matrices: f32.
alias Component = f32;
