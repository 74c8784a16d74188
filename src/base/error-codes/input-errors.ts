import type { ErrorEntry } from "./error-entry.ts";

export const inputErrors = {
  "argument-invalid": {
    meaning: "A flag or an argument has a value that the command does not accept.",
    remedy: "Pass a value that the message names. `--help` shows the flags of a command.",
    silent: true,
  },
  "argument-missing": {
    meaning: "The command needs an argument or a flag that was not given.",
    remedy: "Pass the missing argument or flag. `--help` shows the flags of a command.",
  },
  "arguments-conflict": {
    meaning: "Two arguments or flags exclude each other.",
    remedy: "Leave one of them out.",
  },
  ambiguous: {
    meaning: "The name matches several objects or clusters.",
    remedy: "Use one of the names that the message lists.",
    silent: true,
  },
  usage: {
    meaning: "The command line has an unknown verb, flag or form.",
    remedy: "Run the command with `--help`.",
  },
  cancelled: {
    meaning: "A person or a signal ended the command before it was done.",
    remedy: "Run the command again. Installing commands ask for consent, which `--skip-confirmation` gives.",
  },
  "env-invalid": {
    meaning: "An environment variable has a value that the process cannot use.",
    remedy: "Correct the variable in the process's environment, for a pod in its Deployment or DaemonSet.",
  },
  "env-missing": {
    meaning: "The process needs an environment variable that is not set.",
    remedy: "Set the variable.",
  },
  "file-unreadable": {
    meaning: "A file is missing or may not be read.",
    remedy: "Check the path and the permissions of the file.",
  },
  "file-invalid": {
    meaning: "A file does not have the form or the content that the program needs.",
    remedy: "Correct the file at the place that the message names.",
    silent: true,
  },
  "path-not-writable": {
    meaning: "A file or a directory cannot be written.",
    remedy: "Choose another directory, or change its permissions.",
  },
  "path-taken": {
    meaning: "The path exists and belongs to something else.",
    remedy: "Choose another path.",
  },
  "disk-full": {
    meaning: "The disk has too little free space.",
    remedy: "Free some space, or choose a directory on another disk.",
  },
  unsupported: {
    meaning: "Serin does not support the requested mode or architecture.",
    remedy: "Use a mode or an architecture that the message names.",
    silent: true,
  },
  "difference-found": {
    meaning: "A comparison found differences. The command did its work, and its exit code reports the result.",
    remedy: "Read the differences that the command printed.",
    silent: true,
  },
  "problem-found": {
    meaning: "A check found problems. The command did its work, and its exit code reports the result.",
    remedy: "Correct the problems that the command printed.",
    silent: true,
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
