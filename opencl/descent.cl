// A step of the optimizer: one pass over the parameter, its gradient and its moments
// (src/kernel/descent.rs). Compiled with common.cl before it.
//
// Global size: ceil(count / LANES), in groups of any size.

// g += decay w, v = momentum v + g, then w -= rate v, or with Nesterov's look ahead (nesterov = 1)
// w -= rate (g + momentum v).
kernel void sgd(
    global REAL *w, global const REAL *gradient, global REAL *velocity, REAL rate, REAL decay,
    REAL momentum, int nesterov, ulong count
) {
    RUN(i, there, count);
    const Vector old = load_some(w + i, there, 0);
    const Vector g = load_some(gradient + i, there, 0) + decay * old;
    const Vector v = momentum * load_some(velocity + i, there, 0) + g;
    store_some(v, velocity + i, there);
    store_some(old - rate * (nesterov ? g + momentum * v : v), w + i, there);
}

// g += decay w, m = beta_1 m + (1 - beta_1) g, v = beta_2 v + (1 - beta_2) g^2, then
// w -= rate m / (sqrt(v) root + epsilon). The rest_i are 1 - beta_i; rate and root hold the
// corrections of the moments' start at zero.
kernel void adam(
    global REAL *w, global const REAL *gradient, global REAL *mean, global REAL *square, REAL rate,
    REAL decay, REAL beta_1, REAL beta_2, REAL rest_1, REAL rest_2, REAL root, REAL epsilon,
    ulong count
) {
    RUN(i, there, count);
    const Vector old = load_some(w + i, there, 0);
    const Vector g = load_some(gradient + i, there, 0) + decay * old;
    const Vector m = beta_1 * load_some(mean + i, there, 0) + rest_1 * g;
    const Vector v = beta_2 * load_some(square + i, there, 0) + rest_2 * g * g;
    store_some(m, mean + i, there);
    store_some(v, square + i, there);
    store_some(old - rate * m / (sqrt(v) * root + epsilon), w + i, there);
}
