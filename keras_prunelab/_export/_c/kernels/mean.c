/* The mean over all positions, channel by channel. */
#if INT8
static void net_mean(int positions, int channels, int input_zero, int32_t multiplier, int shift, int output_zero,
                     const int8_t *x, int8_t *y)
#else
static void net_mean(int positions, int channels, const float *x, float *y)
#endif
{
    for (int c = 0; c < channels; ++c) {
        net_sum sum = 0;
        for (int i = 0; i < positions; ++i) {
            sum += x[i * channels + c];
        }
#if INT8
        sum = net_multiply(sum - positions * input_zero, multiplier, shift) + output_zero;
        y[c] = (int8_t)net_clamp(sum, -128, 127);
#else
        y[c] = sum / (float)positions;
#endif
    }
}
