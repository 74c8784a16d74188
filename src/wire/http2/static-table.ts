// RFC 7541, appendix A. Index 1 is the first line.
const lines = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`.split("\n");

/** The names and values of the static table. Entry 0 is empty, because indices begin at 1. */
export const staticNames: readonly string[] = ["", ...lines.map((line) => line.split(" ")[0] ?? "")];
export const staticValues: readonly string[] = [
  "",
  ...lines.map((line) => {
    const space = line.indexOf(" ");
    return space < 0 ? "" : line.slice(space + 1);
  }),
];

const byName = new Map<string, number>();
/** The indices of names by the name's length. A name in bytes can then be found without making a string. */
const byLength: number[][] = [];
for (let index = staticNames.length - 1; index >= 1; index -= 1) byName.set(staticNames[index] ?? "", index);
for (const [name, index] of byName) (byLength[name.length] ??= []).push(index);
const none: readonly number[] = [];

/**
 * The index of the entry with this value and the name of this index. 0 if there is none. Entries with one name follow
 * each other.
 */
export function staticFieldIndex(nameIndex: number, value: string): number {
  if (nameIndex === 0) return 0;
  const name = staticNames[nameIndex];
  for (let index = nameIndex; staticNames[index] === name; index += 1) if (staticValues[index] === value) return index;
  return 0;
}

/** The index of the first entry with this name. 0 if there is none. */
export function staticNameIndex(name: string): number {
  return byName.get(name) ?? 0;
}

/** Like {@link staticNameIndex}, for a name in latin1 bytes and in any case. */
export function staticNameIndexOf(bytes: Uint8Array, start: number, end: number): number {
  const candidates = byLength[end - start] ?? none;
  for (let at = 0; at < candidates.length; at += 1) {
    const index = candidates[at] ?? 0;
    if (equalsLowerCase(bytes, start, staticNames[index] ?? "")) return index;
  }
  return 0;
}

function equalsLowerCase(bytes: Uint8Array, start: number, name: string): boolean {
  for (let index = 0; index < name.length; index += 1) {
    const byte = bytes[start + index] ?? 0;
    if ((byte >= 65 && byte <= 90 ? byte | 32 : byte) !== name.charCodeAt(index)) return false;
  }
  return true;
}
