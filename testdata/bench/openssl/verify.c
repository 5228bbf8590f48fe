/* Times openssl's own library on a signed file, in this process: parse the CMS
 * and verify its signature, without a certificate chain, as the other sides of
 * the comparison do. Usage: verify FILE SECONDS; prints nanoseconds per file. */
#include <openssl/bio.h>
#include <openssl/cms.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static unsigned char data[1 << 20];
    if (argc != 3) {
        fprintf(stderr, "usage: verify FILE SECONDS\n");
        return 64;
    }
    FILE *f = fopen(argv[1], "rb");
    if (!f) {
        perror(argv[1]);
        return 74;
    }
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    double seconds = atof(argv[2]);
    long rounds = 0;
    double begin = now();
    do {
        const unsigned char *p = data;
        CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)n);
        BIO *out = BIO_new(BIO_s_null());
        if (!cms || !out || CMS_verify(cms, NULL, NULL, NULL, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1) {
            fprintf(stderr, "not verified\n");
            return 1;
        }
        BIO_free(out);
        CMS_ContentInfo_free(cms);
        rounds++;
    } while (now() - begin < seconds);
    printf("%.0f\n", (now() - begin) * 1e9 / (double)rounds);
    return 0;
}
