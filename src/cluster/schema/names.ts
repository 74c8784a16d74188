const label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const labelPattern = new RegExp(`^${label}$`);
const subdomainPattern = new RegExp(`^${label}(\\.${label})*$`);
const serviceLabelPattern = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const qualifiedNamePattern = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const labelValuePattern = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

const labelMaxLength = 63;
const subdomainMaxLength = 253;
const qualifiedNameMaxLength = 63;

const labelMessage =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const subdomainMessage =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const serviceLabelMessage =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const qualifiedNameMessage =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const labelValueMessage =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/** Returns the faults of a name. The list is empty for a valid name. */
export type NameCheck = (name: string) => string[];

function tooLong(name: string, limit: number, unit = "characters"): string[] {
  return name.length > limit ? [`must be no more than ${limit} ${unit}`] : [];
}

export const checkLabelName: NameCheck = (name) => [
  ...tooLong(name, labelMaxLength),
  ...(labelPattern.test(name) ? [] : [subdomainPattern.test(name) ? "must not contain dots" : labelMessage]),
];
export const checkSubdomain: NameCheck = (name) => [
  ...tooLong(name, subdomainMaxLength),
  ...(subdomainPattern.test(name) ? [] : [subdomainMessage]),
];
export const checkServiceName: NameCheck = (name) => [
  ...tooLong(name, labelMaxLength),
  ...(serviceLabelPattern.test(name) ? [] : [serviceLabelMessage]),
];

/** Checks a name that only has to be usable in a path, such as the name of an RBAC object. */
export const checkPathSegment: NameCheck = (name) => {
  if (name === "." || name === "..") return [`may not be '${name}'`];
  return ["/", "%"]
    .filter((character) => name.includes(character))
    .map((character) => `may not contain '${character}'`);
};

/** Checks the key of a label or annotation: `[prefix/]name`. */
export const checkQualifiedName: NameCheck = (key) => {
  const parts = key.split("/");
  const name = parts.at(-1) ?? "";
  const problems: string[] = [];
  if (parts.length > 2)
    return [
      "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    ];
  const [prefix] = parts;
  if (parts.length === 2 && prefix !== undefined) {
    if (prefix === "") problems.push("prefix part must be non-empty");
    else problems.push(...checkSubdomain(prefix).map((problem) => `prefix part ${problem}`));
  }
  if (name === "") problems.push("name part must be non-empty");
  else if (name.length > qualifiedNameMaxLength)
    problems.push(`name part must be no more than ${qualifiedNameMaxLength} bytes`);
  if (!qualifiedNamePattern.test(name)) problems.push(qualifiedNameMessage);
  return problems;
};

export const checkLabelValue: NameCheck = (value) => [
  ...tooLong(value, labelMaxLength, "bytes"),
  ...(labelValuePattern.test(value) ? [] : [labelValueMessage]),
];

const configKeyPattern = /^[-._a-zA-Z0-9]+$/;

/** Checks a key of a ConfigMap or Secret, which becomes the name of a file. */
export const checkConfigKey: NameCheck = (key) => [
  ...tooLong(key, subdomainMaxLength),
  ...(configKeyPattern.test(key)
    ? []
    : [
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
      ]),
  ...(key === "." || key === ".."
    ? [`must not be '${key}'`]
    : key.startsWith("..")
      ? ["must not start with '..'"]
      : []),
];

const searchPattern = /^_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$/;

/** Checks a DNS search domain of a pod, which may contain underscores. */
export const checkSearchDomain: NameCheck = (name) => [
  ...tooLong(name, subdomainMaxLength),
  ...(searchPattern.test(name)
    ? []
    : [
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')",
      ]),
];

const wildcardPattern = new RegExp(`^\\*\\.${label}(\\.${label})*$`);

/** Checks a host that may begin with a wildcard, such as `*.example.com`. */
export const checkWildcardSubdomain: NameCheck = (name) => [
  ...tooLong(name, subdomainMaxLength),
  ...(wildcardPattern.test(name)
    ? []
    : [
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
      ]),
];
