/** The 4 or 16 bytes of an address in text form; undefined when it is none. */
export function addressBytes(text: string): Uint8Array | undefined {
  return text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
}

function ipv4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return undefined;
  return Uint8Array.from(parts, Number);
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? "");
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "") : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

function groupsOf(text: string): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const last = parts.at(-1) ?? "";
  if (last.includes(".")) {
    const bytes = ipv4Bytes(last);
    if (bytes === undefined) return undefined;
    parts.splice(-1, 1, ((bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)).toString(16), ((bytes[2] ?? 0) * 256 + (bytes[3] ?? 0)).toString(16));
  }
  return parts.every((part) => /^[0-9a-fA-F]{1,4}$/.test(part)) ? parts.map((part) => Number.parseInt(part, 16)) : undefined;
}

/** An address or a CIDR as bytes and prefix length. */
export function cidrOf(text: string): { readonly address: Uint8Array; readonly length: number } | undefined {
  const [base = "", prefix, ...rest] = text.split("/");
  const address = addressBytes(base);
  if (address === undefined) return undefined;
  const bits = address.length * 8;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) && rest.length === 0 ? Number(prefix) : -1;
  return length >= 0 && length <= bits ? { address, length } : undefined;
}
