export function forwardHost(
  authority: string,
  defaultPort: number,
): { readonly name: string; readonly port: number } | undefined {
  const parts = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(authority);
  const port = Number(parts?.[2] ?? defaultPort);
  return parts?.[1] === undefined || port === 0 || port > 0xffff
    ? undefined
    : { name: parts[1].replace(/^\[|\]$/g, ""), port };
}
