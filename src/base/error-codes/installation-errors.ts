import type { ErrorEntry } from "./error-entry.ts";

export const installationErrors = {
  "install-invalid": {
    meaning: "The installation's input is not valid.",
    remedy: "Correct the fields that the message names.",
    silent: true,
  },
  "install-busy": {
    meaning: "Somebody else is installing into the same cluster.",
    remedy: "Wait until that installation has ended.",
  },
  "in-use": {
    meaning: "Something still needs the revision or the operator.",
    remedy: "Move or delete what the message lists, or pass `--force`.",
    silent: true,
  },
  "name-taken": {
    meaning: "The name belongs to another revision, tag or installation.",
    remedy: "Choose another name.",
  },
  "revision-unknown": {
    meaning: "There is no such revision or tag.",
    remedy: "`serin tag list` and `serin version` show what is installed.",
  },
  "definitions-missing": {
    meaning: "The cluster lacks definitions of kinds.",
    remedy: "Apply the definitions that the message names.",
    silent: true,
  },
  "not-installed": {
    meaning: "The cluster does not have the component.",
    remedy: "Install the component, or name the namespace in which it is.",
  },
  "version-skew": {
    meaning: "The two versions are too far apart for a change in place.",
    remedy: "Move one minor version at a time.",
  },
  "upgrade-profile": {
    meaning: "The upgrade names no profile, or another profile than the installation's.",
    remedy: "Pass the installation's profile.",
  },
  "not-ready": {
    meaning: "Pods were not ready in time.",
    remedy: "Look at the pods and their events.",
  },
  "pods-do-not-start": {
    meaning: "Pods of the installation cannot start.",
    remedy: "Remove the obstacle that the message names.",
    silent: true,
  },
  "not-gone": {
    meaning: "A deleted object still exists.",
    remedy: "Look at the object's finalizers, and wait or remove them.",
  },
  "release-missing": {
    meaning: "There is no such release, or it lacks the needed program.",
    remedy: "Name the directory or the version of an existing release.",
  },
  "release-invalid": {
    meaning: "The release's name, directory or content is not valid.",
    remedy: "Correct what the message names.",
    silent: true,
  },
  "release-exists": {
    meaning: "The cluster already has a release of this version.",
    remedy: "Choose another version.",
  },
  "release-copy": {
    meaning: "The release cannot be copied into the cluster.",
    remedy: "Check the free space and the permissions.",
  },
  "release-unreadable": {
    meaning: "The lab's processes may not read the release.",
    remedy: "Make the directory readable for other users.",
  },
  "release-failed": {
    meaning: "A program of the other release failed, printed too much, or took too long.",
    remedy: "Read the program's last lines in the message. Check that the release runs on this machine.",
    silent: true,
  },
  "release-refused": {
    meaning: "The other release refuses the profile or the settings.",
    remedy: "Change the field that the message names, or choose another release.",
    silent: true,
  },
  "shadow-failed": {
    meaning: "A control plane that ran for a comparison ended, or did not answer.",
    remedy: "Repeat the comparison. The message has the last line of its log.",
    silent: true,
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
