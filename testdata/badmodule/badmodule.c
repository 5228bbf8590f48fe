//go:build ignore

// A PKCS#11 module that misbehaves. It passes everything on to a real module
// (CITEL_BADMODULE_REAL) but does what CITEL_BADMODULE says at the place it names.
// Each C_Login is a line in the file CITEL_BADMODULE_COUNT.
//
// The headers of PKCS#11 are not needed: a function list is a version and 68
// pointers in a fixed order (PKCS#11 v2.40, 3.5, CK_FUNCTION_LIST).
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef ulong_t (*fn)();

struct list {
	unsigned char major, minor;
	void *f[68];
};

enum { INITIALIZE = 0, FUNCTION_LIST = 3, SLOT_LIST = 4, SLOT_INFO = 5, TOKEN_INFO = 6, LOGIN = 18, ATTRIBUTE = 24, FIND = 27, SIGN = 43 };

struct attribute {
	ulong_t type;
	void *value;
	ulong_t len;
};

static struct list *real, mine;

static int is(const char *mode)
{
	const char *m = getenv("CITEL_BADMODULE");
	return m != NULL && strcmp(m, mode) == 0;
}

#define REAL(i) ((fn)real->f[i])

// at does what has to go wrong at a place: init, login or sign.
static void at(const char *place)
{
	char mode[64];
	snprintf(mode, sizeof mode, "crash-%s", place);
	if (is(mode)) {
		volatile int *nowhere = NULL;
		*nowhere = 1;
	}
	snprintf(mode, sizeof mode, "hang-%s", place);
	while (is(mode)) {
		// Deaf to polite signals, as a driver in an uninterruptible read.
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		pause();
	}
	if (is("print"))
		for (int i = 0; i < 20000; i++) {
			printf("the module says something that nobody asked for\n");
			fprintf(stderr, "and complains about it\n");
			fflush(stdout);
		}
	if (is("exit") && strcmp(place, "login") == 0)
		exit(0);
	// Writes into every pipe that is open: the helper's are among them. Files are
	// spared, the real module's token is among those.
	snprintf(mode, sizeof mode, "scribble-%s", place);
	if (is(mode)) {
		for (int fd = 3; fd < 64; fd++) {
			struct stat st;
			if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && write(fd, "\x7f\xff\xff\xff{\"garbage\":true}", 20) < 0)
				continue;
		}
		// The agent ends this process now. It must not be inside SoftHSM then, which
		// writes its token's file in place: half a file would be no token any more.
		sleep(3);
	}
}

static ulong_t initialize(void *args)
{
	at("init");
	// flags is the fifth field of CK_C_INITIALIZE_ARGS; CKF_OS_LOCKING_OK is 2.
	if (is("cant-lock") && args != NULL && (((ulong_t *)args)[4] & 2) != 0)
		return 0x0A; // CKR_CANT_LOCK
	return REAL(INITIALIZE)(args);
}

static ulong_t slot_list(unsigned char present, ulong_t *list, ulong_t *count)
{
	if (is("hugelist")) {
		if (list != NULL)
			for (ulong_t i = 0; i < *count; i++)
				list[i] = i;
		else
			*count = 1 << 20;
		return 0;
	}
	if (is("no-slots")) {
		*count = 0;
		return 0;
	}
	return REAL(SLOT_LIST)(present, list, count);
}

static ulong_t slot_info(ulong_t slot, unsigned char *info)
{
	ulong_t rv = REAL(SLOT_INFO)(slot, info);
	if (is("no-token") && rv == 0)
		*(ulong_t *)(info + 96) &= ~1ul; // flags; CKF_TOKEN_PRESENT
	return rv;
}

static ulong_t token_info(ulong_t slot, unsigned char *info)
{
	ulong_t rv = REAL(TOKEN_INFO)(slot, info);
	if (rv != 0)
		return rv;
	ulong_t *flags = (ulong_t *)(info + 96);
	if (is("pinpad") || is("pinpad-cancel"))
		*flags |= 0x100; // CKF_PROTECTED_AUTHENTICATION_PATH
	if (is("final-try"))
		*flags |= 0x20000; // CKF_USER_PIN_FINAL_TRY
	if (is("locked"))
		*flags |= 0x40000; // CKF_USER_PIN_LOCKED
	if (is("garbage"))
		memset(info, 0xFE, 96);
	return rv;
}

static ulong_t login(ulong_t session, ulong_t user, char *pin, ulong_t len)
{
	const char *file = getenv("CITEL_BADMODULE_COUNT");
	if (file != NULL) {
		FILE *f = fopen(file, "a");
		if (f != NULL) {
			fprintf(f, "C_Login %lu\n", user);
			fclose(f);
		}
	}
	at("login");
	if (is("removed-login"))
		return 0x32; // CKR_DEVICE_REMOVED
	if (is("pinpad-cancel"))
		return 0x50; // CKR_FUNCTION_CANCELED
	if (is("locked"))
		return 0xA4; // CKR_PIN_LOCKED
	if (is("pinpad") && pin == NULL) {
		pin = getenv("CITEL_BADMODULE_PIN"); // what the person types on the reader
		len = pin != NULL ? strlen(pin) : 0;
	}
	return REAL(LOGIN)(session, user, pin, len);
}

static ulong_t attribute(ulong_t session, ulong_t object, struct attribute *a, ulong_t n)
{
	ulong_t rv = REAL(ATTRIBUTE)(session, object, a, n);
	if (rv == 0 && is("garbage"))
		for (ulong_t i = 0; i < n; i++)
			if (a[i].value != NULL && a[i].type == 0x11) // CKA_VALUE
				memset((char *)a[i].value + a[i].len / 2, 0xA5, a[i].len / 4);
	return rv;
}

static ulong_t find(ulong_t session, ulong_t *objects, ulong_t max, ulong_t *count)
{
	if (is("endless")) {
		for (ulong_t i = 0; i < max; i++)
			objects[i] = 1;
		*count = max;
		return 0;
	}
	return REAL(FIND)(session, objects, max, count);
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t n, unsigned char *signature, ulong_t *len)
{
	at("sign");
	if (is("removed-sign"))
		return 0x32; // CKR_DEVICE_REMOVED
	ulong_t rv = REAL(SIGN)(session, data, n, signature, len);
	if (rv == 0 && signature != NULL && is("garbage-sign")) {
		memset(signature, 0x5A, *len);
		*len = 7;
	}
	return rv;
}

static ulong_t function_list(struct list **out);

ulong_t C_GetFunctionList(struct list **out)
{
	if (real == NULL) {
		void *so = dlopen(getenv("CITEL_BADMODULE_REAL"), RTLD_NOW | RTLD_LOCAL);
		fn get = so != NULL ? (fn)dlsym(so, "C_GetFunctionList") : NULL;
		if (get == NULL || get(&real) != 0)
			return 5; // CKR_GENERAL_ERROR
		memcpy(&mine, real, sizeof mine);
		mine.f[INITIALIZE] = initialize;
		mine.f[FUNCTION_LIST] = function_list;
		mine.f[SLOT_LIST] = slot_list;
		mine.f[SLOT_INFO] = slot_info;
		mine.f[TOKEN_INFO] = token_info;
		mine.f[LOGIN] = login;
		mine.f[ATTRIBUTE] = attribute;
		mine.f[FIND] = find;
		mine.f[SIGN] = sign;
	}
	*out = &mine;
	return 0;
}

static ulong_t function_list(struct list **out) { return C_GetFunctionList(out); }
