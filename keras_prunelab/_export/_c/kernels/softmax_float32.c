static void net_softmax(int positions, int classes, const float *x, float *y)
{
    for (int position = 0; position < positions; ++position, x += classes, y += classes) {
        float largest = x[0], sum = 0;
        for (int i = 1; i < classes; ++i) {
            largest = x[i] > largest ? x[i] : largest;
        }
        for (int i = 0; i < classes; ++i) {
            y[i] = expf(x[i] - largest);
            sum += y[i];
        }
        for (int i = 0; i < classes; ++i) {
            y[i] /= sum;
        }
    }
}
