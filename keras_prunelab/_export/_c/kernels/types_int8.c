typedef int8_t net_value; /* what layers hand on */
typedef int32_t net_sum;  /* what products are summed in */
