// Character classes of RFC 9110 and RFC 9112.

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;
export const COLON = 58;

function table(accept: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (accept(byte) ? 1 : 0));
}

const tokenPunctuation = "!#$%&'*+-.^_`|~";

/** The characters of methods and field names (`tchar`). */
export const isToken = table(
  (byte) => /[0-9A-Za-z]/.test(String.fromCharCode(byte)) || tokenPunctuation.includes(String.fromCharCode(byte)),
);

/** The characters of a field value: HTAB, SP, VCHAR and obs-text, but no other control bytes. */
export const isFieldValue = table((byte) => byte === HTAB || (byte >= 0x20 && byte !== 0x7f));

/**
 * The characters of a request target. Bytes above ASCII are excluded, because servers decode them differently (as UTF-8
 * or Latin-1).
 */
export const isTarget = table((byte) => byte > 0x20 && byte < 0x7f);

/** The characters of an authority. Spaces, and the delimiters of other parts of a URI, are excluded. */
export const isAuthority = table(
  (byte) => byte > 0x20 && byte < 0x7f && !'/?#@\\"<>^`{|},'.includes(String.fromCharCode(byte)),
);

/** The value of each hexadecimal digit. 255 for all other bytes. */
export const hexValue = Uint8Array.from({ length: 256 }, (_, byte) => {
  const digit = "0123456789abcdef".indexOf(String.fromCharCode(byte).toLowerCase());
  return digit < 0 ? 255 : digit;
});
