/** The versions of the CNI specification with plugin chains, whose results have one form. */
export const supportedVersions: readonly string[] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
export const newestVersion = "1.1.0";
