// shape.mjs - tables of fields, as strict as vendors are: what is missing,
// unknown or of another type is named with its path.
//
//   const fields = shape({ prompt: need(text(1000)), seed: int(0), duration: one('5', '10') });
//   fields({ prompt: 'a boat', sed: 1 })  ->  ['sed: unknown field']
//
// A check is a function of (value, path) that returns a list of complaints.
const type_of = (v) => (v === null ? 'null' : Array.isArray(v) ? 'list' : typeof v);
const is = (type, v, path) => (type_of(v) === type ? [] : [`${path}: ${type_of(v)}, not ${type}`]);

export const any = () => [];
export const text = (max = Infinity, min = 1) => (v, path) => {
	const wrong = is('string', v, path);
	if (wrong.length === 0 && (v.length > max || v.length < min)) wrong.push(`${path}: ${v.length} characters`);
	return wrong;
};
export const bool = (v, path) => is('boolean', v, path);
export const num = (min = -Infinity, max = Infinity) => (v, path) => {
	const wrong = is('number', v, path);
	if (wrong.length === 0 && (v < min || v > max)) wrong.push(`${path}: ${v} is out of range`);
	return wrong;
};
export const int = (min, max) => (v, path) => {
	const wrong = num(min, max)(v, path);
	if (wrong.length === 0 && !Number.isInteger(v)) wrong.push(`${path}: ${v} is no integer`);
	return wrong;
};
export const one = (...values) => (v, path) => (values.includes(v) ? []
	: [`${path}: ${JSON.stringify(v)?.slice(0, 60)} is none of ${JSON.stringify(values)}`]);
export const list = (check, max = Infinity, min = 1) => (v, path) => {
	const wrong = is('list', v, path);
	if (wrong.length > 0) return wrong;
	if (v.length > max || v.length < min) wrong.push(`${path}: ${v.length} items`);
	return wrong.concat(...v.map((item, i) => check(item, `${path}.${i}`)));
};
// The first that fits; else the complaints of the last.
export const either = (...checks) => (v, path) => {
	let wrong = [];
	for (const check of checks) {
		wrong = check(v, path);
		if (wrong.length === 0) break;
	}
	return wrong;
};
export const need = (check) => Object.assign((v, path) => check(v, path), { need: true });
// extra: names that are let through unlooked at.
export const shape = (fields, { extra = false } = {}) => (v, path = '') => {
	const wrong = is('object', v, path || 'body');
	if (wrong.length > 0) return wrong;
	const at = (name) => (path ? `${path}.${name}` : name);
	for (const [name, check] of Object.entries(fields)) {
		if (v[name] !== undefined) wrong.push(...check(v[name], at(name)));
		else if (check.need) wrong.push(`${at(name)}: missing`);
	}
	if (!extra) {
		for (const name of Object.keys(v)) if (!(name in fields)) wrong.push(`${at(name)}: unknown field`);
	}
	return wrong;
};
export const without = (fields, ...names) => Object.fromEntries(
	Object.entries(fields).filter(([name]) => !names.includes(name)));

// Images by their form. A vendor that fetches URLs takes them from anywhere
// here; that the bytes are an image is checked when they arrive.
export const url = (v, path) => {
	const wrong = text(2048)(v, path);
	return wrong.length > 0 || /^https?:\/\/[^/]+\//.test(v) ? wrong : [`${path}: no URL`];
};
export const data_uri = (v, path) => {
	const wrong = is('string', v, path);
	return wrong.length > 0 || /^data:image\/(png|jpeg|webp);base64,[A-Za-z0-9+/]+=*$/.test(v) ? wrong
		: [`${path}: no data URI of an image`];
};
export const base64 = (v, path) => {
	const wrong = is('string', v, path);
	return wrong.length > 0 || /^[A-Za-z0-9+/]{20,}={0,2}$/.test(v) ? wrong : [`${path}: no bare base64`];
};
export const url_or_data = either(url, data_uri);
