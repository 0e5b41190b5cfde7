/* Axes in another order: for each of the output's, its length and how far apart its neighbours are in x. */
static void net_permute(int rows, int row_step, int columns, int column_step, int channels, int channel_step,
                        const net_value *x, net_value *y)
{
    for (int row = 0; row < rows; ++row) {
        for (int column = 0; column < columns; ++column) {
            for (int channel = 0; channel < channels; ++channel) {
                *y++ = x[row * row_step + column * column_step + channel * channel_step];
            }
        }
    }
}
