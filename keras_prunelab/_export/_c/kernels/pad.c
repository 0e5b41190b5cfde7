/* An image with borders around it. */
static void net_pad(const net_window *window, const net_value *x, net_value *y)
{
    for (int row = 0; row < window->output_rows; ++row) {
        for (int column = 0; column < window->output_columns; ++column, y += window->channels) {
            net_take_patch(window, x, row, column, y);
        }
    }
}
