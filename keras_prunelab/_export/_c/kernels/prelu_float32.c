/* Values below zero times a slope; there may be fewer slopes, which then count again and again. */
static void net_prelu(int count, const float *x, int slopes, const float *slope, float *y)
{
    for (int i = 0; i < count; ++i) {
        y[i] = x[i] > 0 ? x[i] : slope[i % slopes] * x[i];
    }
}
