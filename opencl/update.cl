// A step of the optimizer: one pass over the parameter, its gradient and its moments
// (src/kernel/update.rs). Compiled with common.cl before it.
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
// w = keep w - rate m / (sqrt(v) root + epsilon). The rest_i are 1 - beta_i; rate and root hold the
// corrections of the moments' start at zero. AdamW has no decay, and keeps less than 1.
kernel void adam(
    global REAL *w, global const REAL *gradient, global REAL *mean, global REAL *square, REAL rate,
    REAL decay, REAL keep, REAL beta_1, REAL beta_2, REAL rest_1, REAL rest_2, REAL root,
    REAL epsilon, ulong count
) {
    RUN(i, there, count);
    const Vector old = load_some(w + i, there, 0);
    const Vector g = load_some(gradient + i, there, 0) + decay * old;
    const Vector m = beta_1 * load_some(mean + i, there, 0) + rest_1 * g;
    const Vector v = beta_2 * load_some(square + i, there, 0) + rest_2 * g * g;
    store_some(m, mean + i, there);
    store_some(v, square + i, there);
    store_some(keep * old - rate * m / (sqrt(v) * root + epsilon), w + i, there);
}

// g += decay w, square = alpha square + rest g^2 with rest = 1 - alpha, and
// s = g / (sqrt(square) + epsilon), then w -= rate s.
// If centred, mean = alpha mean + rest g, and the root is that of square - mean^2, or of zero where
// rounding brought that below it. With has_momentum, velocity = momentum velocity + s takes the
// place of s. Otherwise mean and velocity may be any memory, and are not looked at.
kernel void rms_prop(
    global REAL *w, global const REAL *gradient, global REAL *square, global REAL *mean,
    global REAL *velocity, REAL rate, REAL decay, REAL alpha, REAL rest, REAL epsilon,
    REAL momentum, int centred, int has_momentum, ulong count
) {
    RUN(i, there, count);
    const Vector old = load_some(w + i, there, 0);
    const Vector g = load_some(gradient + i, there, 0) + decay * old;
    const Vector squares = alpha * load_some(square + i, there, 0) + rest * g * g;
    store_some(squares, square + i, there);
    Vector variance = squares;
    if (centred) {
        const Vector m = alpha * load_some(mean + i, there, 0) + rest * g;
        store_some(m, mean + i, there);
        variance -= m * m;
        variance = variance < 0 ? (Vector)(0) : variance;
    }
    Vector step = g / (sqrt(variance) + epsilon);
    if (has_momentum) {
        step += momentum * load_some(velocity + i, there, 0);
        store_some(step, velocity + i, there);
    }
    store_some(old - rate * step, w + i, there);
}
