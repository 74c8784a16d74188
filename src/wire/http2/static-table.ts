// RFC 7541, appendix A; index 1 is the first line.
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

/** Names and values of the static table. Entry 0 is empty, because indices start at 1. */
export const staticNames: readonly string[] = ["", ...lines.map((line) => line.split(" ")[0] ?? "")];
export const staticValues: readonly string[] = [
  "",
  ...lines.map((line) => {
    const space = line.indexOf(" ");
    return space < 0 ? "" : line.slice(space + 1);
  }),
];

const byName = new Map<string, number>();
const byField = new Map<string, number>();
for (let index = staticNames.length - 1; index >= 1; index -= 1) {
  byName.set(staticNames[index] ?? "", index);
  byField.set(`${staticNames[index]}\0${staticValues[index]}`, index);
}

/** The index of a whole field, or 0. */
export function staticFieldIndex(name: string, value: string): number {
  return byField.get(`${name}\0${value}`) ?? 0;
}

/** The index of an entry with this name, or 0. */
export function staticNameIndex(name: string): number {
  return byName.get(name) ?? 0;
}
