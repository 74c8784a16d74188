export function matchesField(pattern: string, path: string): boolean {
  if (!pattern.endsWith("**")) return pattern === path;
  const prefix = pattern.slice(0, -2);
  if (path.startsWith(prefix)) return true;
  // `a.**` also matches a map or list of plain values.
  const base = prefix.replace(/\.$/, "");
  return path === base || path === `${base}{}` || path === `${base}[]`;
}
