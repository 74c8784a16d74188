/**
 * Why a request with these pseudo headers (alternating names and values) cannot be routed. Undefined if it can. An
 * absolute `:path` is refused, because a server could take another authority from it than the one that was checked. The
 * scheme is checked, because applications see it.
 */
export function pseudoFault(fields: readonly string[]): string | undefined {
  let hosts = 0;
  for (let at = 0; at < fields.length; at += 2) {
    const value = fields[at + 1] ?? "";
    switch (fields[at]) {
      case ":scheme":
        if (!/^https?$/i.test(value)) return "a :scheme other than http and https";
        break;
      case ":path":
        if (!value.startsWith("/") && value !== "*") return "a :path that is not a path";
        break;
      case ":authority":
        if (value === "") return "an empty :authority";
        break;
      case "host":
        hosts += 1;
        if (hosts > 1) return "more than one host";
        break;
      case undefined:
      default:
    }
  }
  return undefined;
}
