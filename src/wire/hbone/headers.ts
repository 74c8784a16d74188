/** Header fields as pairs, in their order. Names are in lower case. Where they matter, pseudo headers are included. */
export type Headers = readonly (readonly [name: string, value: string])[];

/** The first value of a header. Undefined if it is absent. */
export function headerValue(headers: Headers, name: string): string | undefined {
  for (const [key, value] of headers) if (key === name) return value;
  return undefined;
}
