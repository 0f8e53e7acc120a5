// size.mjs - the one knob: short inside contrib/check, whole by `make torture`.
export const full = process.env.TORTURE_FULL === '1';
// The size of a scenario: what runs in seconds, and what reliability asks for.
export const size = (short, whole) => (full ? whole : short);
