/* One bit for each place, the lowest first and each row from a byte of its own, and the values where a bit is set.
   The lowest bit that is set, times a sequence of de Bruijn, has its number in the upper five bits, by way of a table. */
static void net_add_product_mask(const net_matrix *matrix, const net_value *restrict x, net_sum *restrict sums)
{
    static const uint8_t number[32] = {0, 1, 28, 2, 29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4, 8,
                                       31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6, 11, 5, 10, 9};
    const net_value *restrict value = matrix->values;
    const uint8_t *restrict mask = matrix->places;
    for (int row = 0; row < matrix->rows; ++row) {
        net_sum sum = 0;
        for (int column = 0; column < matrix->columns; column += 32) {
            uint32_t bits = 0;
            for (int shift = 0; shift < 32 && column + shift < matrix->columns; shift += 8) {
                bits |= (uint32_t)*mask++ << shift;
            }
            for (; bits; bits &= bits - 1) {
                const uint32_t lowest = bits & (~bits + 1);
                sum += (net_sum)*value++ * x[column + number[(lowest * 0x077CB531U) >> 27]];
            }
        }
        sums[row] += sum;
    }
}
