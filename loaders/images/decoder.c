/* Of libjpeg-turbo's interfaces only this one, which needs setjmp and the layout of a struct, gives
 * single rows and leaves out what is not needed; so it cannot be called without a compiler.
 */
#include "decoder.h"

/* Chroma is interpolated between neighbours: at the edge of what is decoded it would lack one. */
#define MARGIN 2

/* Coefficients of a block, in the order of the file, that libjpeg guesses if no scan holds them. */
#define GUESSED 10

static void leave(j_common_ptr info)
{
    longjmp(((Decoder *)info)->escape, 1);
}

/* Damaged data is a warning, of level -1: Pillow then decides whether it may be ignored. */
static void leave_if_warned(j_common_ptr info, int level)
{
    if (level < 0)
        leave(info);
}

void prepare_errors(Decoder *decoder)
{
    decoder->info.err = jpeg_std_error(&decoder->errors);
    decoder->errors.error_exit = leave;
    decoder->errors.emit_message = leave_if_warned;
}

int read_header(Decoder *decoder, const unsigned char *data, size_t size)
{
    struct jpeg_decompress_struct *info = &decoder->info;

    jpeg_create_decompress(info);
    jpeg_mem_src(info, (unsigned char *)data, (unsigned long)size);
    jpeg_read_header(info, TRUE);
    return info->jpeg_color_space == JCS_YCbCr || info->jpeg_color_space == JCS_GRAYSCALE ||
           info->jpeg_color_space == JCS_RGB;
}

/* Whether no block of a progressive image will be smoothed. */
static int is_complete(const struct jpeg_decompress_struct *info)
{
    for (int i = 0; info->coef_bits != NULL && i < info->num_components; i++)
        for (int number = 0; number < GUESSED; number++)
            if (info->coef_bits[i][number] != 0)
                return 0;
    return 1;
}

int start_rows(Decoder *decoder, int ratio, int fast)
{
    struct jpeg_decompress_struct *info = &decoder->info;

    info->out_color_space = JCS_RGB;
    info->scale_num = 1;
    info->scale_denom = (unsigned int)ratio;
    info->dct_method = fast ? JDCT_IFAST : JDCT_ISLOW;
    info->do_fancy_upsampling = fast ? FALSE : TRUE;
    jpeg_start_decompress(info);
    return is_complete(info);
}

JDIMENSION limit_columns(Decoder *decoder, JDIMENSION left, JDIMENSION width, JDIMENSION *columns)
{
    JDIMENSION first = left > MARGIN ? left - MARGIN : 0;
    JDIMENSION end = left + width + MARGIN, all = decoder->info.output_width;

    *columns = (end < all ? end : all) - first;
    if (*columns < all)
        jpeg_crop_scanline(&decoder->info, &first, columns); /* `first` moves to a block's edge */
    return first;
}
