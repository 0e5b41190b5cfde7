/* `powers` has exp(-d * scale) in 1 / 32768 for each distance d from the largest value; those beyond it are zero.
   The outputs are probabilities in 1 / 256, less 128. */
static void net_softmax(int positions, int classes, const uint16_t *powers, int distances, const int8_t *x, int8_t *y)
{
    for (int position = 0; position < positions; ++position, x += classes, y += classes) {
        int largest = x[0];
        uint32_t sum = 0;
        for (int i = 1; i < classes; ++i) {
            largest = x[i] > largest ? x[i] : largest;
        }
        for (int i = 0; i < classes; ++i) {
            sum += largest - x[i] < distances ? powers[largest - x[i]] : 0U;
        }
        for (int i = 0; i < classes; ++i) {
            const uint32_t power = largest - x[i] < distances ? powers[largest - x[i]] : 0U;
            y[i] = (int8_t)net_clamp((int32_t)((power * 256U + sum / 2U) / sum) - 128, -128, 127);
        }
    }
}
