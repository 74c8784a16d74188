export function pemOf(label: string, der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** The blocks of a PEM text, each with its markers and a line break at the end. */
export function pemBlocks(text: string): string[] {
  return [...text.matchAll(/-----BEGIN ([^-]+)-----[^-]+-----END \1-----/g)].map((match) => `${match[0]}\n`);
}

/** The bytes of the first PEM block whose label matches the pattern. Undefined if there is none. */
export function derOfPem(text: string, label: RegExp): Buffer | undefined {
  for (const [, name = "", body = ""] of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g)) {
    if (!label.test(name)) continue;
    // Leave out lines with a colon, which are headers of old PEM forms. A pattern for them would be too slow for a
    // request of one very long line, which anybody may send.
    const lines = body.split("\n").filter((line) => !line.includes(":"));
    return Buffer.from(lines.join("\n"), "base64");
  }
  return undefined;
}
