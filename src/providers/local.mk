# providers: one file per vendor; builds requests, reads replies, no I/O.
libreeld_a_SOURCES += src/providers/registry.c src/providers/table.c src/providers/common.c \
	src/providers/mapping.c src/providers/encode.c src/providers/fal.c \
	src/providers/fal_hook.c src/providers/worker.c \
	src/providers/manual.c src/providers/webhook.c \
	src/providers/check.c src/providers/chat.c src/providers/limits.c \
	src/providers/internal.h include/reeld/provider.h include/reeld/chat.h \
	include/reeld/webhook.h
EXTRA_DIST += src/providers/README.md
UNIT_TESTS += tests/unit/test_catalogue_seed
UNIT_TESTS += tests/unit/test_provider_encode
UNIT_TESTS += tests/unit/test_provider_hostile
UNIT_TESTS += tests/unit/test_provider_mutated
EXTRA_DIST += tests/unit/provider_unit.h
UNIT_TESTS += tests/unit/test_chat tests/unit/test_limits
UNIT_TESTS += tests/unit/test_fal
EXTRA_DIST += \
	tests/data/fal/locked.json \
	tests/data/fal/expired.json \
	tests/data/fal/cancel_late.json \
	tests/data/fal/cancel_requested.json \
	tests/data/fal/cancelled.json \
	tests/data/fal/completed.json \
	tests/data/fal/completed_error.json \
	tests/data/fal/detail_text.json \
	tests/data/fal/error.html \
	tests/data/fal/filtered.json \
	tests/data/fal/image_too_small.json \
	tests/data/fal/missing.json \
	tests/data/fal/new_status.json \
	tests/data/fal/new_type.json \
	tests/data/fal/no_media.json \
	tests/data/fal/no_video.json \
	tests/data/fal/queued.json \
	tests/data/fal/rate_limited.json \
	tests/data/fal/runner.json \
	tests/data/fal/running.json \
	tests/data/fal/submitted.json \
	tests/data/fal/submitted_elsewhere.json \
	tests/data/fal/submitted_no_id.json \
	tests/data/fal/success.json \
	tests/data/fal/success_list.json \
	tests/data/fal/timeout.json \
	tests/data/fal/truncated.json \
	tests/data/fal/value_error.json \
	tests/data/fal/webhook_ok.json
UNIT_TESTS += tests/unit/test_webhook_sig
UNIT_TESTS += tests/unit/test_worker_provider
# google
libreeld_a_SOURCES += src/providers/google.c src/providers/google_omni.c src/providers/google.h
UNIT_TESTS += tests/unit/test_google
EXTRA_DIST += \
	tests/data/google/empty_done.json \
	tests/data/google/error.html \
	tests/data/google/error_400.json \
	tests/data/google/error_400_billing.json \
	tests/data/google/error_400_key.json \
	tests/data/google/error_400_policy.json \
	tests/data/google/error_403.json \
	tests/data/google/error_404.json \
	tests/data/google/error_429.json \
	tests/data/google/error_429_daily.json \
	tests/data/google/error_503.json \
	tests/data/google/error_503_retry.json \
	tests/data/google/failed_huge.json \
	tests/data/google/failed_image.json \
	tests/data/google/failed_internal.json \
	tests/data/google/failed_invalid.json \
	tests/data/google/failed_odd.json \
	tests/data/google/failed_quota.json \
	tests/data/google/filtered.json \
	tests/data/google/filtered_count.json \
	tests/data/google/omni_budget.json \
	tests/data/google/omni_cancelled.json \
	tests/data/google/omni_data.json \
	tests/data/google/omni_failed.json \
	tests/data/google/omni_incomplete.json \
	tests/data/google/omni_new.json \
	tests/data/google/omni_queued.json \
	tests/data/google/omni_refused.json \
	tests/data/google/omni_running.json \
	tests/data/google/omni_submitted.json \
	tests/data/google/omni_success.json \
	tests/data/google/omni_success_top.json \
	tests/data/google/omni_text.json \
	tests/data/google/running.json \
	tests/data/google/running_percent.json \
	tests/data/google/submitted.json \
	tests/data/google/submitted_evil.json \
	tests/data/google/submitted_no_name.json \
	tests/data/google/success.json \
	tests/data/google/success_gs.json \
	tests/data/google/success_inline.json \
	tests/data/google/success_videos.json \
	tests/data/google/truncated.json
# runway
libreeld_a_SOURCES += src/providers/runway.c
UNIT_TESTS += tests/unit/test_runway
EXTRA_DIST += \
	tests/data/runway/bad_asset.json \
	tests/data/runway/bad_key.json \
	tests/data/runway/bad_output.json \
	tests/data/runway/bad_request.json \
	tests/data/runway/cancelled.json \
	tests/data/runway/empty.json \
	tests/data/runway/error.html \
	tests/data/runway/expired.json \
	tests/data/runway/failed.json \
	tests/data/runway/failed_new_code.json \
	tests/data/runway/failed_no_code.json \
	tests/data/runway/filtered.json \
	tests/data/runway/filtered_early.json \
	tests/data/runway/filtered_output.json \
	tests/data/runway/moderated.json \
	tests/data/runway/new_status.json \
	tests/data/runway/no_credit.json \
	tests/data/runway/no_video.json \
	tests/data/runway/preprocessing.json \
	tests/data/runway/queued.json \
	tests/data/runway/rate_limited.json \
	tests/data/runway/running.json \
	tests/data/runway/submitted.json \
	tests/data/runway/submitted_no_id.json \
	tests/data/runway/success.json \
	tests/data/runway/third_party.json \
	tests/data/runway/throttled.json \
	tests/data/runway/truncated.json \
	tests/data/runway/upload.json \
	tests/data/runway/upload_bad.json
# replicate
libreeld_a_SOURCES += src/providers/replicate.c
UNIT_TESTS += tests/unit/test_replicate
EXTRA_DIST += \
	tests/data/replicate/aborted.json \
	tests/data/replicate/bad_input.json \
	tests/data/replicate/bad_key.json \
	tests/data/replicate/cancelled.json \
	tests/data/replicate/empty.json \
	tests/data/replicate/error.html \
	tests/data/replicate/expired.json \
	tests/data/replicate/failed.json \
	tests/data/replicate/failed_null.json \
	tests/data/replicate/filtered.json \
	tests/data/replicate/filtered_text.json \
	tests/data/replicate/interrupted.json \
	tests/data/replicate/invalid.json \
	tests/data/replicate/missing.json \
	tests/data/replicate/moderated.json \
	tests/data/replicate/new_status.json \
	tests/data/replicate/no_credit.json \
	tests/data/replicate/no_video.json \
	tests/data/replicate/overloaded.json \
	tests/data/replicate/queued.json \
	tests/data/replicate/rate_limited.json \
	tests/data/replicate/running.json \
	tests/data/replicate/submitted.json \
	tests/data/replicate/submitted_no_id.json \
	tests/data/replicate/success.json \
	tests/data/replicate/success_list.json \
	tests/data/replicate/truncated.json \
	tests/data/replicate/uploaded.json \
	tests/data/replicate/uploaded_bad.json
# openai
libreeld_a_SOURCES += src/providers/openai.c
UNIT_TESTS += tests/unit/test_openai
EXTRA_DIST += \
	tests/data/openai/bad_key.json \
	tests/data/openai/bad_request.json \
	tests/data/openai/cancelled.json \
	tests/data/openai/done_error.json \
	tests/data/openai/empty.json \
	tests/data/openai/error.html \
	tests/data/openai/expired.json \
	tests/data/openai/failed.json \
	tests/data/openai/failed_input.json \
	tests/data/openai/failed_new.json \
	tests/data/openai/failed_null.json \
	tests/data/openai/failed_text.json \
	tests/data/openai/filtered.json \
	tests/data/openai/filtered_sentinel.json \
	tests/data/openai/missing.json \
	tests/data/openai/moderated.json \
	tests/data/openai/new_status.json \
	tests/data/openai/no_quota.json \
	tests/data/openai/queued.json \
	tests/data/openai/rate_limited.json \
	tests/data/openai/running.json \
	tests/data/openai/running_gateway.json \
	tests/data/openai/submitted.json \
	tests/data/openai/submitted_no_id.json \
	tests/data/openai/submitted_task.json \
	tests/data/openai/success.json \
	tests/data/openai/success_url.json \
	tests/data/openai/truncated.json
# luma
libreeld_a_SOURCES += src/providers/luma.c
UNIT_TESTS += tests/unit/test_luma
EXTRA_DIST += \
	tests/data/luma/bad_key.json \
	tests/data/luma/busy.json \
	tests/data/luma/done_moderated.json \
	tests/data/luma/empty.json \
	tests/data/luma/error.html \
	tests/data/luma/expired.json \
	tests/data/luma/failed.json \
	tests/data/luma/failed_new.json \
	tests/data/luma/failed_null.json \
	tests/data/luma/filtered.json \
	tests/data/luma/filtered_text.json \
	tests/data/luma/invalid.json \
	tests/data/luma/lost_output.json \
	tests/data/luma/moderated.json \
	tests/data/luma/new_status.json \
	tests/data/luma/no_budget.json \
	tests/data/luma/no_credit.json \
	tests/data/luma/no_video.json \
	tests/data/luma/queued.json \
	tests/data/luma/rate_limited.json \
	tests/data/luma/running.json \
	tests/data/luma/submitted.json \
	tests/data/luma/submitted_no_id.json \
	tests/data/luma/success.json \
	tests/data/luma/too_large.json \
	tests/data/luma/truncated.json
# luma_dream
libreeld_a_SOURCES += src/providers/luma_dream.c
UNIT_TESTS += tests/unit/test_luma_dream
EXTRA_DIST += \
	tests/data/luma_dream/bad_key.json \
	tests/data/luma_dream/done_moderated.json \
	tests/data/luma_dream/empty.json \
	tests/data/luma_dream/error.html \
	tests/data/luma_dream/expired.json \
	tests/data/luma_dream/failed.json \
	tests/data/luma_dream/failed_null.json \
	tests/data/luma_dream/filtered.json \
	tests/data/luma_dream/invalid.json \
	tests/data/luma_dream/moderated.json \
	tests/data/luma_dream/new_status.json \
	tests/data/luma_dream/no_credit.json \
	tests/data/luma_dream/no_video.json \
	tests/data/luma_dream/queued.json \
	tests/data/luma_dream/rate_limited.json \
	tests/data/luma_dream/running.json \
	tests/data/luma_dream/submitted.json \
	tests/data/luma_dream/submitted_no_id.json \
	tests/data/luma_dream/success.json \
	tests/data/luma_dream/truncated.json
# minimax
libreeld_a_SOURCES += src/providers/minimax.c
UNIT_TESTS += tests/unit/test_minimax
EXTRA_DIST += \
	tests/data/minimax/v2_sensitive.json \
	tests/data/minimax/bad_key.json \
	tests/data/minimax/bad_key_2049.json \
	tests/data/minimax/bad_params.json \
	tests/data/minimax/empty.json \
	tests/data/minimax/error.html \
	tests/data/minimax/expired.json \
	tests/data/minimax/failed.json \
	tests/data/minimax/failed_params.json \
	tests/data/minimax/file.json \
	tests/data/minimax/file_empty.json \
	tests/data/minimax/filtered.json \
	tests/data/minimax/internal.json \
	tests/data/minimax/new_status.json \
	tests/data/minimax/no_credit.json \
	tests/data/minimax/no_file.json \
	tests/data/minimax/preparing.json \
	tests/data/minimax/queued.json \
	tests/data/minimax/rate_limited.json \
	tests/data/minimax/refused_input.json \
	tests/data/minimax/running.json \
	tests/data/minimax/submitted.json \
	tests/data/minimax/submitted_no_id.json \
	tests/data/minimax/submitted_number.json \
	tests/data/minimax/submitted_odd.json \
	tests/data/minimax/submitted_v2.json \
	tests/data/minimax/success.json \
	tests/data/minimax/success_number.json \
	tests/data/minimax/truncated.json \
	tests/data/minimax/v2_cancelled.json \
	tests/data/minimax/v2_error.json \
	tests/data/minimax/v2_failed.json \
	tests/data/minimax/v2_filtered.json \
	tests/data/minimax/v2_moderated.json \
	tests/data/minimax/v2_no_video.json \
	tests/data/minimax/v2_queued.json \
	tests/data/minimax/v2_running.json \
	tests/data/minimax/v2_success.json
# modelslab
libreeld_a_SOURCES += src/providers/modelslab.c
UNIT_TESTS += tests/unit/test_modelslab
EXTRA_DIST += \
	tests/data/modelslab/expired.json \
	tests/data/modelslab/bad_key.json \
	tests/data/modelslab/busy.json \
	tests/data/modelslab/busy_with_id.json \
	tests/data/modelslab/error.html \
	tests/data/modelslab/failed.json \
	tests/data/modelslab/failed_silent.json \
	tests/data/modelslab/filtered.json \
	tests/data/modelslab/filtered_messege.json \
	tests/data/modelslab/invalid.json \
	tests/data/modelslab/new_status.json \
	tests/data/modelslab/no_credit.json \
	tests/data/modelslab/processing.json \
	tests/data/modelslab/server.json \
	tests/data/modelslab/submitted.json \
	tests/data/modelslab/submitted_no_id.json \
	tests/data/modelslab/submitted_success.json \
	tests/data/modelslab/submitted_text_id.json \
	tests/data/modelslab/success.json \
	tests/data/modelslab/success_empty.json \
	tests/data/modelslab/success_proxy.json \
	tests/data/modelslab/success_text.json \
	tests/data/modelslab/truncated.json \
	tests/data/modelslab/webhook.json
# edenai
libreeld_a_SOURCES += src/providers/edenai.c
UNIT_TESTS += tests/unit/test_edenai
EXTRA_DIST += \
	tests/data/edenai/expired.json \
	tests/data/edenai/error.html \
	tests/data/edenai/error_400.json \
	tests/data/edenai/error_401.json \
	tests/data/edenai/error_402.json \
	tests/data/edenai/error_422.json \
	tests/data/edenai/error_429.json \
	tests/data/edenai/error_451.json \
	tests/data/edenai/error_policy.json \
	tests/data/edenai/fail.json \
	tests/data/edenai/filtered.json \
	tests/data/edenai/new_status.json \
	tests/data/edenai/processing.json \
	tests/data/edenai/submitted.json \
	tests/data/edenai/submitted_fail.json \
	tests/data/edenai/submitted_no_id.json \
	tests/data/edenai/success.json \
	tests/data/edenai/success_empty.json \
	tests/data/edenai/success_video_url.json \
	tests/data/edenai/truncated.json \
	tests/data/edenai/v2_failed.json \
	tests/data/edenai/v2_finished.json \
	tests/data/edenai/v2_finished_failed.json \
	tests/data/edenai/v2_finished_nothing.json \
	tests/data/edenai/v2_finished_provider.json \
	tests/data/edenai/v2_processing.json \
	tests/data/edenai/webhook.json
# kling
libreeld_a_SOURCES += src/providers/kling.c src/providers/kling_reply.c src/providers/kling.h
UNIT_TESTS += tests/unit/test_kling
EXTRA_DIST += \
	tests/data/kling/expired.json \
	tests/data/kling/e1003.json \
	tests/data/kling/e1102.json \
	tests/data/kling/e1103.json \
	tests/data/kling/e1201.json \
	tests/data/kling/e1203.json \
	tests/data/kling/e1301.json \
	tests/data/kling/e1303.json \
	tests/data/kling/e1304.json \
	tests/data/kling/e5000.json \
	tests/data/kling/e7777.json \
	tests/data/kling/error.html \
	tests/data/kling/failed.json \
	tests/data/kling/filtered.json \
	tests/data/kling/new_status.json \
	tests/data/kling/no_id.json \
	tests/data/kling/no_status.json \
	tests/data/kling/processing.json \
	tests/data/kling/queued.json \
	tests/data/kling/submitted.json \
	tests/data/kling/submitted_empty.json \
	tests/data/kling/submitted_no_id.json \
	tests/data/kling/success.json \
	tests/data/kling/success_empty.json \
	tests/data/kling/truncated.json \
	tests/data/kling/v3_failed.json \
	tests/data/kling/v3_none.json \
	tests/data/kling/v3_processing.json \
	tests/data/kling/v3_submitted.json \
	tests/data/kling/v3_success.json \
	tests/data/kling/webhook.json
# comfyui
libreeld_a_SOURCES += src/providers/comfyui.c src/providers/comfyui_state.c src/providers/comfyui.h
UNIT_TESTS += tests/unit/test_comfyui
EXTRA_DIST += \
	tests/data/comfyui/empty.json \
	tests/data/comfyui/error.html \
	tests/data/comfyui/history_error.json \
	tests/data/comfyui/history_images.json \
	tests/data/comfyui/history_interrupted.json \
	tests/data/comfyui/history_memory.json \
	tests/data/comfyui/history_no_video.json \
	tests/data/comfyui/history_others.json \
	tests/data/comfyui/history_success.json \
	tests/data/comfyui/invalid.json \
	tests/data/comfyui/no_prompt.json \
	tests/data/comfyui/queue_empty.json \
	tests/data/comfyui/queue_pending.json \
	tests/data/comfyui/queue_running.json \
	tests/data/comfyui/submitted.json \
	tests/data/comfyui/submitted_no_id.json \
	tests/data/comfyui/truncated.json \
	tests/data/comfyui/uploaded.json \
	tests/data/comfyui/uploaded_folder.json
