/* Normalization by statistics of the observation itself: those of each group of channels over all positions, `count`
   times. In 8 bits, epsilon is in steps of x, and factors and offsets in steps of y. */
#if INT8
static void net_normalize(int count, int positions, int channels, int groups, const float *factors,
                          const float *offsets, float epsilon, int output_zero, const int8_t *x, int8_t *y)
#else
static void net_normalize(int count, int positions, int channels, int groups, const float *factors,
                          const float *offsets, float epsilon, const float *x, float *y)
#endif
{
    const int width = channels / groups, size = positions * width;
    for (int k = 0; k < count; ++k, x += positions * channels, y += positions * channels) {
        for (int first = 0; first < channels; first += width) {
            float mean = 0, variance = 0;
            for (int i = 0; i < size; ++i) {
                mean += (float)x[i / width * channels + first + i % width];
            }
            mean /= (float)size;
            for (int i = 0; i < size; ++i) {
                const float difference = (float)x[i / width * channels + first + i % width] - mean;
                variance += difference * difference;
            }
            const float spread = 1 / sqrtf(variance / (float)size + epsilon);
            for (int i = 0; i < size; ++i) {
                const int channel = first + i % width, place = i / width * channels + channel;
                const float value = ((float)x[place] - mean) * spread * factors[channel] + offsets[channel];
#if INT8
                const float q = floorf(value + 0.5f) + (float)output_zero;
                y[place] = (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
#else
                y[place] = value;
#endif
            }
        }
    }
}
