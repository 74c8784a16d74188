export interface YamlToken {
  readonly kind: "plain" | "key" | "comment" | "text" | "scalar";
  readonly text: string;
}

const line = /^(?<indent>\s*(?:- +)*)(?<key>(?:"[^"]*"|'[^']*'|[^\s#:'"{}[\]]+)(?=:(?:\s|$)))?(?<rest>.*)$/;
const scalar = /^(?:-?\d[\d.eE+-]*|true|false|null|~)$/;

/**
 * Splits YAML into coloured tokens, line by line. It knows the style that serializers write, and leaves other text
 * plain.
 */
export function colorYaml(yaml: string): readonly YamlToken[] {
  const tokens: YamlToken[] = [];
  const push = (kind: YamlToken["kind"], text: string): void => {
    if (text !== "") tokens.push({ kind, text });
  };
  const lines = yaml.split("\n");
  for (const [index, source] of lines.entries()) {
    const end = index === lines.length - 1 ? "" : "\n";
    if (/^\s*#/.test(source)) {
      push("comment", `${source}${end}`);
      continue;
    }
    const { indent = "", key, rest = "" } = line.exec(source)?.groups ?? {};
    push("plain", indent);
    if (key !== undefined) push("key", key);
    const [, colon = "", value = ""] = /^(:?\s*)(.*)$/.exec(rest) ?? [];
    push("plain", colon);
    push(/^["']/.test(value) ? "text" : scalar.test(value) ? "scalar" : "plain", value);
    push("plain", end);
  }
  return tokens;
}
