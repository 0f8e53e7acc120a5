/*
 * provider_names.h - every adapter, one line each: its name in routes, URLs
 * and settings, and the name that the environment has for its key elsewhere.
 * The settings and the registry are made from it.
 */
#ifndef REELD_PROVIDER_NAMES_H
#define REELD_PROVIDER_NAMES_H

#define PROVIDER_NAMES(X)                   \
	X(fal, "FAL_KEY")                   \
	X(google, "GOOGLE_AI_API_KEY")      \
	X(runway, "RUNWAY_API_KEY")         \
	X(replicate, "REPLICATE_API_TOKEN") \
	X(openai, NULL)                     \
	X(luma, NULL)                       \
	X(luma_dream, NULL)                 \
	X(minimax, NULL)                    \
	X(modelslab, "MODELSLAB_API_KEY")   \
	X(edenai, "EDENAI_API_KEY")         \
	X(kling, NULL)                      \
	X(comfyui, NULL)                    \
	X(worker, NULL)                     \
	X(manual, NULL)

#endif
