static void net_apply(float (*function)(float), int count, const float *x, float *y)
{
    for (int i = 0; i < count; ++i) {
        y[i] = function(x[i]);
    }
}
