import type * as Yaml from "yaml";
import { readForKubernetes } from "./read-options.ts";

type YamlPackage = Pick<typeof Yaml, "Composer" | "Lexer" | "Parser" | "parse" | "parseAllDocuments">;
type ReadOptions = Pick<Yaml.ParseOptions, "lineCounter" | "prettyErrors" | "uniqueKeys"> &
  Pick<Yaml.DocumentOptions, "logLevel">;
type Documents = readonly Yaml.Document.Parsed[];

/**
 * Matches every text that the package `yaml` may read differently from kubectl. Other texts need no special treatment.
 */
const colonAtEnd = /:[,\]}]/;
/** The mark that the package's lexer puts before an unquoted text. */
const plainMark = "\u001f";
const flowEnds: ReadonlySet<string> = new Set([",", "]", "}"]);

/**
 * Reads the documents of a text as kubectl and istioctl do. Within `[]` and `{}`, they treat a colon at the end of an
 * unquoted text as a part of the text, unless a blank follows it. So `[2001:db8::]` is a list of one address for them,
 * but a list of one map for the package.
 */
export function documentsForKubernetes(yaml: YamlPackage, text: string, options: ReadOptions = {}): Documents {
  const all = { ...readForKubernetes, ...options };
  if (colonAtEnd.test(text)) {
    const documents = [...new yaml.Composer(all).compose(tokensOf(yaml, text, options.lineCounter))];
    if (options.prettyErrors === false || documents.every(({ errors }) => errors.length === 0)) return documents;
  }
  return [...yaml.parseAllDocuments(text, all)];
}

/** The value of a text with one document. Throws an error for other texts. */
export function valueForKubernetes(yaml: YamlPackage, text: string): unknown {
  if (colonAtEnd.test(text)) {
    const [only, ...others] = documentsForKubernetes(yaml, text);
    if (only !== undefined && others.length === 0 && only.errors.length === 0) return only.toJS() as unknown;
  }
  return yaml.parse(text, readForKubernetes) as unknown;
}

function* tokensOf(
  { Lexer, Parser }: YamlPackage,
  text: string,
  lineCounter: Yaml.LineCounter | undefined,
): Generator<Yaml.CST.Token> {
  const parser = new Parser(lineCounter?.addNewLine);
  lineCounter?.addNewLine(0);
  for (const lexeme of withColons(new Lexer().lex(text))) yield* parser.next(lexeme);
  yield* parser.end();
}

/** Joins an unquoted text with the colon after it, if the element ends after that colon. */
function* withColons(given: Iterable<string>): Generator<string> {
  const lexemes = [...given];
  for (let at = 0; at < lexemes.length; at += 1) {
    const lexeme = lexemes[at] ?? "";
    yield lexeme;
    if (lexeme !== plainMark) continue;
    const text = lexemes[at + 1] ?? "";
    const after = lexemes[at + 2] === ":" ? at + 3 : lexemes.length;
    // Before a comma, the lexer adds an empty text for the missing value.
    const end = lexemes[after] === plainMark && lexemes[after + 1] === "" ? after + 2 : after;
    const isWhole = flowEnds.has(lexemes[end] ?? "");
    yield isWhole ? `${text}:` : text;
    at = isWhole ? end - 1 : at + 1;
  }
}
