// No tool is named outside its folder in src/tools/, apart from the lists: nobody else may depend on which tools there are.

const folder = /^src\/tools\/(?<tool>[^/]+)\/[^/]+\.ts$/;
const definition = /^src\/tools\/[^/]+\/definition\.ts$/;
const lists = new Set(['src/tools/catalogue.ts', 'src/tools/registry.ts']);
/** The door hands out what tests get ready for one tool. */
const door = 'src/tools/index.ts';

/** Who may name a tool all the same. The state backend speaks the protocol that has the name, and keeps its files. */
const exceptions = [/^src\/state\//];

/** Words that mean something else too: these are refused as the whole of a text alone, as where a type is compared. */
const usualWords = new Set(['shell']);

/** Comments may name tools; what lies in texts stays. */
const withoutComments = (text) =>
  text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' ')).replace(/(^|\s)\/\/[^\n]*/g, '$1');

/** `tofuVersion`, `WINDLASS_TOFU` and `OpenTofu` in words. */
function wordsOf(text) {
  return text
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .match(/[a-z0-9]+/g);
}

/** Folders of tools, and what their definitions call types and programs. */
function namesOf(texts) {
  const names = new Set();
  for (const [file, text] of texts) {
    const { tool } = folder.exec(file)?.groups ?? {};
    if (tool !== undefined) names.add(tool);
    if (!definition.test(file)) continue;
    for (const [, list] of text.matchAll(/\btypes: \[([^\]]*)\]/g))
      for (const [, name] of list.matchAll(/'([^']+)'/g)) names.add(name);
    for (const [, name] of text.matchAll(/\b(?:word|type|name): '([a-z0-9]+)'/g)) names.add(name);
  }
  return names;
}

/** Problems of the sources of src/, by their texts. Tests name tools as they like. */
export function checkToolNames(texts, isTest) {
  const names = namesOf(texts);
  if (names.size === 0) return [];
  const problems = [];
  for (const [file, text] of texts) {
    if (!file.startsWith('src/') || isTest(file) || lists.has(file) || file === door) continue;
    if (exceptions.some((exception) => exception.test(file))) continue;
    const own = folder.exec(file)?.groups.tool;
    if (own !== undefined && names.has(own)) continue;
    withoutComments(text)
      .split('\n')
      .forEach((line, index) => {
        const found = namesIn(line, names);
        if (found !== undefined)
          problems.push(`${file}:${index + 1}: names the tool ${found}; only its folder in src/tools/ does`);
      });
  }
  return problems;
}

function namesIn(line, names) {
  for (const [word] of line.matchAll(/[\w$]+/g)) {
    // OpenTofu is one name in two words.
    for (const part of [...(wordsOf(word) ?? []), word.toLowerCase()])
      if (names.has(part) && !usualWords.has(part)) return part;
  }
  for (const [, text] of line.matchAll(/['"`]([\w-]+)['"`]/g)) if (usualWords.has(text) && names.has(text)) return text;
  return undefined;
}
