# fuzz: one program per parser of foreign bytes; tests/fuzz/README.md.  With
# --enable-fuzzing they hunt (make fuzz); in any other build they are tests of
# `make check` that run over their corpora.
FUZZ_TARGETS = \
	tests/fuzz/fuzz_http_guard \
	tests/fuzz/fuzz_http_target \
	tests/fuzz/fuzz_http_headers \
	tests/fuzz/fuzz_http_range \
	tests/fuzz/fuzz_multipart \
	tests/fuzz/fuzz_json \
	tests/fuzz/fuzz_spec \
	tests/fuzz/fuzz_comfyui \
	tests/fuzz/fuzz_edenai \
	tests/fuzz/fuzz_fal \
	tests/fuzz/fuzz_google \
	tests/fuzz/fuzz_kling \
	tests/fuzz/fuzz_luma \
	tests/fuzz/fuzz_luma_dream \
	tests/fuzz/fuzz_minimax \
	tests/fuzz/fuzz_modelslab \
	tests/fuzz/fuzz_openai \
	tests/fuzz/fuzz_replicate \
	tests/fuzz/fuzz_runway \
	tests/fuzz/fuzz_webhook \
	tests/fuzz/fuzz_live \
	tests/fuzz/fuzz_image \
	tests/fuzz/fuzz_conf \
	tests/fuzz/fuzz_sigv4 \
	tests/fuzz/fuzz_words
check_PROGRAMS += $(FUZZ_TARGETS)
EXTRA_DIST += tests/fuzz/run.sh
FUZZ_MAIN = tests/fuzz/fuzz_main.c tests/fuzz/fuzz.h
FUZZ_SECONDS = 300
if FUZZING
CPPFLAGS_OF_FUZZ = $(AM_CPPFLAGS) -DREELD_LIBFUZZER
LDFLAGS_OF_FUZZ = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz: $(FUZZ_TARGETS)
	FUZZ_SECONDS='$(FUZZ_SECONDS)' $(SHELL) $(srcdir)/tests/fuzz/run.sh \
	    '$(srcdir)' $(FUZZ_TARGETS)
else
CPPFLAGS_OF_FUZZ = $(AM_CPPFLAGS)
LDFLAGS_OF_FUZZ = $(AM_LDFLAGS)
TESTS += $(FUZZ_TARGETS)
fuzz:
	@echo 'make fuzz needs: configure CC=clang --enable-fuzzing' >&2; exit 1
endif
.PHONY: fuzz
clean-local:
	rm -rf fuzz-out

tests_fuzz_fuzz_http_guard_SOURCES = tests/fuzz/fuzz_http_guard.c $(FUZZ_MAIN)
tests_fuzz_fuzz_http_guard_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_http_guard_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_http_guard_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_http_target_SOURCES = tests/fuzz/fuzz_http_target.c $(FUZZ_MAIN)
tests_fuzz_fuzz_http_target_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_http_target_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_http_target_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_http_headers_SOURCES = tests/fuzz/fuzz_http_headers.c $(FUZZ_MAIN)
tests_fuzz_fuzz_http_headers_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_http_headers_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_http_headers_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_http_range_SOURCES = tests/fuzz/fuzz_http_range.c $(FUZZ_MAIN)
tests_fuzz_fuzz_http_range_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_http_range_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_http_range_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_multipart_SOURCES = tests/fuzz/fuzz_multipart.c $(FUZZ_MAIN)
tests_fuzz_fuzz_multipart_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_multipart_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_multipart_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_json_SOURCES = tests/fuzz/fuzz_json.c $(FUZZ_MAIN)
tests_fuzz_fuzz_json_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_json_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_json_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_spec_SOURCES = tests/fuzz/fuzz_spec.c $(FUZZ_MAIN)
tests_fuzz_fuzz_spec_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_spec_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_spec_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_webhook_SOURCES = tests/fuzz/fuzz_webhook.c $(FUZZ_MAIN)
tests_fuzz_fuzz_webhook_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_webhook_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_webhook_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_live_SOURCES = tests/fuzz/fuzz_live.c $(FUZZ_MAIN)
tests_fuzz_fuzz_live_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_live_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_live_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_image_SOURCES = tests/fuzz/fuzz_image.c $(FUZZ_MAIN)
tests_fuzz_fuzz_image_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) $(AV_CFLAGS)
tests_fuzz_fuzz_image_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_image_LDADD = $(MEDIA_LIBS) $(REELD_LIBS)
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/fuzz_conf.c $(FUZZ_MAIN)
tests_fuzz_fuzz_conf_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_conf_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_conf_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_sigv4_SOURCES = tests/fuzz/fuzz_sigv4.c $(FUZZ_MAIN)
tests_fuzz_fuzz_sigv4_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_sigv4_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_sigv4_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_words_SOURCES = tests/fuzz/fuzz_words.c $(FUZZ_MAIN)
tests_fuzz_fuzz_words_CPPFLAGS = $(CPPFLAGS_OF_FUZZ)
tests_fuzz_fuzz_words_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_words_LDADD = libreeld.a $(REELD_LIBS)

# One source, a program per provider: tests/data/<provider> is its corpus.
tests_fuzz_fuzz_fal_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_fal_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"fal"'
tests_fuzz_fuzz_fal_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_fal_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_google_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_google_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"google"'
tests_fuzz_fuzz_google_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_google_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_luma_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_luma_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"luma"'
tests_fuzz_fuzz_luma_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_luma_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_luma_dream_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_luma_dream_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"luma_dream"'
tests_fuzz_fuzz_luma_dream_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_luma_dream_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_openai_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_openai_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"openai"'
tests_fuzz_fuzz_openai_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_openai_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_replicate_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_replicate_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"replicate"'
tests_fuzz_fuzz_replicate_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_replicate_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_runway_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_runway_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"runway"'
tests_fuzz_fuzz_runway_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_runway_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_minimax_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_minimax_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"minimax"'
tests_fuzz_fuzz_minimax_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_minimax_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_modelslab_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_modelslab_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"modelslab"'
tests_fuzz_fuzz_modelslab_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_modelslab_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_comfyui_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_comfyui_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"comfyui"'
tests_fuzz_fuzz_comfyui_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_comfyui_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_edenai_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_edenai_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"edenai"'
tests_fuzz_fuzz_edenai_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_edenai_LDADD = libreeld.a $(REELD_LIBS)
tests_fuzz_fuzz_kling_SOURCES = tests/fuzz/fuzz_provider.c $(FUZZ_MAIN)
tests_fuzz_fuzz_kling_CPPFLAGS = $(CPPFLAGS_OF_FUZZ) -DFUZZ_PROVIDER='"kling"'
tests_fuzz_fuzz_kling_LDFLAGS = $(LDFLAGS_OF_FUZZ)
tests_fuzz_fuzz_kling_LDADD = libreeld.a $(REELD_LIBS)
