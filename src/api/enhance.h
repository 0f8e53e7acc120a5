/* enhance.h - prompt enhancement as the settings have it. */
#ifndef REELD_API_ENHANCE_H
#define REELD_API_ENHANCE_H

#include "api/internal.h"
#include "reeld/chat.h"

/* Is there somebody who enhances prompts?  See api_chat_settings(). */
bool api_can_enhance(const struct app *app);

#endif
