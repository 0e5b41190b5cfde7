/* Where a window stands on an image of rows, columns and channels; a sequence is an image of one row. */
typedef struct {
    int rows, columns, channels;               /* of the input */
    int window_rows, window_columns;           /* of the window */
    int row_stride, column_stride;             /* from one window to the next */
    int row_dilation, column_dilation;         /* from one place of the window to the next */
    int rows_before, columns_before;           /* of padding */
    int output_rows, output_columns;
#if INT8
    int zero_point; /* what is outside of the image */
#endif
} net_window;
