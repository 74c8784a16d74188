/** The path of the release tree in every container. */
export const releaseInContainer = "/opt/serin";
/**
 * The machine's directories that containers see: the files that a program needs, without data of the machine's users.
 */
export const programDirectories = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu"];
/** The first directory in a container's PATH, with the image's scripts. */
export const scriptDirectory = "/opt/image/bin";
