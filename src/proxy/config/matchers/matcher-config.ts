import {
  HeaderMatcherSchema,
  QueryParameterMatcherSchema,
  type HeaderMatcher,
  type QueryParameterMatcher,
  type StringMatcher as StringMatcherMessage,
} from "../../../wire/envoy/index.ts";
import {
  containing,
  endingWith,
  exactly,
  headerMatches,
  inRange,
  matchingRegex,
  queryParameter,
  startingWith,
  type RequestMatcher,
  type StringMatcher,
} from "../../routing/matchers.ts";
import { utf8HeadText } from "../../terms/header-text.ts";
import { checkFields, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileRegex } from "./regex.ts";

export function compileString(message: StringMatcherMessage, where: string): StringMatcher {
  return compileText(message, where, (text) => text);
}

/**
 * Like {@link compileString}, for texts with one character for each byte, such as a header's value. As in Envoy, a
 * regular expression matches bytes: a dot stands for one byte.
 */
function compileHeadString(message: StringMatcherMessage, where: string): StringMatcher {
  return compileText(message, where, utf8HeadText);
}

/** `form` converts the configuration's texts to the form of the texts that are matched. */
function compileText(
  { matchPattern, ignoreCase }: StringMatcherMessage,
  where: string,
  form: (text: string) => string,
): StringMatcher {
  switch (matchPattern.case) {
    case "exact":
      return exactly(form(matchPattern.value), ignoreCase);
    case "prefix":
      return startingWith(form(matchPattern.value), ignoreCase);
    case "suffix":
      return endingWith(form(matchPattern.value), ignoreCase);
    case "contains":
      return containing(form(matchPattern.value), ignoreCase);
    case "safeRegex":
      return matchingRegex(compileRegex(form(matchPattern.value.regex), where));
    default:
      throw unsupported(where, "this kind of string match");
  }
}

export function compileHeader(message: HeaderMatcher, where: string, notes: ConfigNotes): RequestMatcher {
  const here = `${where}: header ${message.name}`;
  checkFields(HeaderMatcherSchema, message, here, notes, {
    used: [
      "name",
      "exactMatch",
      "safeRegexMatch",
      "rangeMatch",
      "presentMatch",
      "prefixMatch",
      "suffixMatch",
      "containsMatch",
      "stringMatch",
      "invertMatch",
      "treatMissingHeaderAsEmpty",
    ],
  });
  const specifier = message.headerMatchSpecifier;
  const absent = specifier.case === "presentMatch" && !specifier.value;
  const value = headerValue(specifier, here);
  return headerMatches({
    name: message.name.toLowerCase(),
    ...(value === undefined ? {} : { value }),
    invert: message.invertMatch !== absent,
    treatMissingAsEmpty: message.treatMissingHeaderAsEmpty,
  });
}

function headerValue(specifier: HeaderMatcher["headerMatchSpecifier"], where: string): StringMatcher | undefined {
  switch (specifier.case) {
    case "exactMatch":
      return exactly(utf8HeadText(specifier.value));
    case "prefixMatch":
      return startingWith(utf8HeadText(specifier.value));
    case "suffixMatch":
      return endingWith(utf8HeadText(specifier.value));
    case "containsMatch":
      return containing(utf8HeadText(specifier.value));
    case "safeRegexMatch":
      return matchingRegex(compileRegex(utf8HeadText(specifier.value.regex), where));
    case "stringMatch":
      return compileHeadString(specifier.value, where);
    case "rangeMatch":
      return inRange(specifier.value.start, specifier.value.end);
    default:
      return undefined;
  }
}

export function compileQueryParameter(
  message: QueryParameterMatcher,
  where: string,
  notes: ConfigNotes,
): RequestMatcher {
  const here = `${where}: query parameter ${message.name}`;
  checkFields(QueryParameterMatcherSchema, message, here, notes, { used: ["name", "stringMatch", "presentMatch"] });
  const specifier = message.queryParameterMatchSpecifier;
  if (specifier.case === "stringMatch") return queryParameter(message.name, compileString(specifier.value, here));
  const present = queryParameter(message.name, undefined);
  return specifier.case === "presentMatch" && !specifier.value ? (request) => !present(request) : present;
}
