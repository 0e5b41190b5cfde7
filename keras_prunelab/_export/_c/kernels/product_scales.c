/* The zeros of both inputs and the output, the range of the output, and the factor of the product. */
typedef struct {
    int32_t zero, other_zero, output_zero, low, high;
    int32_t multiplier;
    int shift;
} net_product_scales;
