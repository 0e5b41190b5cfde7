/* Row by row, the values that are not zero and the steps from each one's column to the next one's. A longer step than
   255 goes by way of a value of zero. */
static void net_add_product_steps(const net_matrix *matrix, const net_value *restrict x, net_sum *restrict sums)
{
    const net_value *restrict value = matrix->values;
    const uint8_t *restrict step = matrix->places;
    for (int row = 0; row < matrix->rows; ++row) {
        const net_value *place = x;
        int left = matrix->counts[row];
        net_sum even = 0, odd = 0;
        for (; left >= 4; left -= 4, value += 4, step += 4) {
            place += step[0];
            even += (net_sum)value[0] * *place;
            place += step[1];
            odd += (net_sum)value[1] * *place;
            place += step[2];
            even += (net_sum)value[2] * *place;
            place += step[3];
            odd += (net_sum)value[3] * *place;
        }
        for (; left > 0; --left) {
            place += *step++;
            even += (net_sum)*value++ * *place;
        }
        sums[row] += even + odd;
    }
}
