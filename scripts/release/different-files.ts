/** Compares two outputs of `sha256sum`. Returns the files that differ or exist in only one of them, with the reason. */
export function differentFiles(first: string, second: string): string[] {
  const before = checksums(first);
  const now = checksums(second);
  return [...new Set([...before.keys(), ...now.keys()])].sort().flatMap((file) => {
    if (!now.has(file)) return [`${file}: only the first run wrote it`];
    if (!before.has(file)) return [`${file}: only the second run wrote it`];
    return before.get(file) === now.get(file) ? [] : [`${file}: different bytes`];
  });
}

function checksums(text: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => [line.slice(line.indexOf("  ") + 2), line.slice(0, line.indexOf("  "))]));
}
