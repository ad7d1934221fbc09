// The type of an element: f16.
alias Component = f16;
