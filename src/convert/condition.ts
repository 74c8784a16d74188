/** Converts a condition of Argo Rollouts (expr-lang) to CEL, or says why it cannot. */
export function celOf(expression: string): { readonly cel: string } | { readonly problem: string } {
  const tokens = tokensOf(expression);
  if (tokens === undefined) return { problem: "has characters that the conversion does not support" };
  const words: string[] = [];
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index] ?? "";
    if (token === "result" && tokens[index + 1] === "[" && tokens[index + 2] === "0" && tokens[index + 3] === "]") {
      words.push("result");
      index += 3;
    } else if (/^\d+$/.test(token)) words.push(`${token}.0`);
    else if (Object.hasOwn(replacements, token)) words.push(replacements[token] ?? "");
    else if (/^[A-Za-z_]/.test(token) && !kept.has(token) && tokens[index - 1] !== ".")
      return { problem: `uses ${token}, which Serin's CEL does not have` };
    else if (token === "[") return { problem: "indexes a list of results; in Serin, a query has one result" };
    else words.push(token);
  }
  return { cel: words.join(" ").replaceAll("( ", "(").replaceAll(" )", ")").replaceAll(" . ", ".") };
}

const replacements: Readonly<Record<string, string>> = { and: "&&", or: "||", not: "!", nil: "null" };
const kept = new Set(["result", "true", "false", "null", "in"]);
const tokenPattern =
  /\s*(\d+\.\d+|\d+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[A-Za-z_]\w*|&&|\|\||[<>=!]=|[<>!()[\]+\-*/%,.])/y;

function tokensOf(expression: string): string[] | undefined {
  const tokens: string[] = [];
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < expression.trimEnd().length) {
    const found = tokenPattern.exec(expression);
    if (found === null) return undefined;
    tokens.push(found[1] ?? "");
  }
  return tokens;
}
