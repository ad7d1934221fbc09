// The type of an element: f32.
alias Component = f32;
