// docs/api.md out of dist/index.d.ts: the doc comments are the text, the order is that in which a reader meets the types. A function is a
// section; what its signature speaks of, and nobody before it, follows.
import ts from '@typescript/typescript6';

/** @typedef {ts.InterfaceDeclaration | ts.TypeAliasDeclaration | ts.ClassDeclaration | ts.FunctionDeclaration | ts.VariableDeclaration} Declaration */

/** Where the page begins. */
const first = 'loadStam';

const preamble = `# API

Everything that \`import ... from 'stam-webgpu'\` gives. This page is made of the sources' doc comments by \`npm run docs\`.

V: videos. F: frames of a video. S: height and width of a frame. C: channels. Shapes are row-major, the last index fastest. Every call that fails
throws or rejects with a [StamError](#stamerror), whose \`code\` is stable; an aborted one with its signal's reason.
`;

/**
 * @param {string} declarations the text of dist/index.d.ts
 * @returns {{ text: string, undocumented: string[] }} the page, and the exports that have no doc comment
 */
export function apiPage(declarations) {
  const source = ts.createSourceFile('index.d.ts', declarations, ts.ScriptTarget.Latest, true);
  const { declared, exported } = read(source);
  const order = readingOrder(declared, exported);
  const entries = order.map(({ name, level }) => {
    const declaration = /** @type {Declaration} */ (declared.get(name));
    const hidden = exported.has(name) ? '' : '*A type without an import of its own.*';
    return { name, level, doc: docOf(declaration), blocks: [hidden, ...render(declaration)] };
  });
  const contents = entries
    .filter(({ name }) => exported.has(name))
    .map(
      ({ name, level, doc }) => `${level === 2 ? '' : '  '}- [${name}](#${name.toLowerCase()}): ${firstSentence(doc)}`,
    );
  const sections = entries.map(({ name, level, doc, blocks }) =>
    [`${'#'.repeat(level)} ${name}`, doc, ...blocks].filter(Boolean).join('\n\n'),
  );
  return {
    text: `${[preamble.trim(), contents.join('\n'), ...sections].join('\n\n')}\n`,
    undocumented: entries.filter(({ name, doc }) => exported.has(name) && doc === '').map(({ name }) => name),
  };
}

/**
 * The declarations of the file by name, and the names that it exports. Throws for syntax that this page knows no way to print.
 * @param {ts.SourceFile} source
 */
function read(source) {
  /** @type {Map<string, Declaration>} */
  const declared = new Map();
  /** @type {Set<string>} */
  const exported = new Set();
  for (const statement of source.statements) {
    if (ts.isVariableStatement(statement)) {
      for (const variable of statement.declarationList.declarations) declared.set(variable.name.getText(), variable);
    } else if (
      ts.isExportDeclaration(statement) &&
      statement.exportClause &&
      ts.isNamedExports(statement.exportClause)
    ) {
      for (const { name } of statement.exportClause.elements) exported.add(name.text);
    } else if (isNamed(statement)) {
      declared.set(/** @type {ts.Identifier} */ (statement.name).text, statement);
    } else throw new Error(`index.d.ts: no way to document this: ${statement.getText().slice(0, 80)}`);
  }
  const missing = [...exported].filter((name) => !declared.has(name));
  if (missing.length > 0)
    throw new Error(`index.d.ts: exported under another name than declared: ${missing.join(', ')}`);
  return { declared, exported };
}

/**
 * @param {ts.Node} node
 * @returns {node is ts.InterfaceDeclaration | ts.TypeAliasDeclaration | ts.ClassDeclaration | ts.FunctionDeclaration}
 */
function isNamed(node) {
  return (
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isFunctionDeclaration(node)
  );
}

/**
 * Functions, then classes, then values, each followed by the types that it reaches first; then what only exports reach.
 * @param {Map<string, Declaration>} declared
 * @param {Set<string>} exported
 */
function readingOrder(declared, exported) {
  /** @type {Map<string, number>} */
  const levels = new Map();
  const visit = (/** @type {string} */ name, /** @type {number} */ level) => {
    const declaration = declared.get(name);
    if (!declaration || levels.has(name)) return;
    levels.set(name, level);
    for (const reference of references(declaration)) visit(reference, 3);
  };
  const rank = (/** @type {string} */ name) => {
    const declaration = /** @type {Declaration} */ (declared.get(name));
    if (name === first) return 0;
    if (ts.isFunctionDeclaration(declaration)) return 1;
    return ts.isClassDeclaration(declaration) ? 2 : ts.isVariableDeclaration(declaration) ? 3 : 4;
  };
  const roots = [...declared.keys()].filter((name) => exported.has(name)).sort((a, b) => rank(a) - rank(b));
  // what stands for itself never hides below a type that speaks of it
  for (const name of roots) if (rank(name) < 4) visit(name, 2);
  for (const name of roots) visit(name, 2);
  return [...levels].map(([name, level]) => ({ name, level }));
}

/**
 * The types that a declaration speaks of, in order.
 * @param {ts.Node} declaration
 * @returns {string[]}
 */
function references(declaration) {
  /** @type {string[]} */
  const names = [];
  const visit = (/** @type {ts.Node} */ node) => {
    if (ts.isTypeReferenceNode(node) && ts.isIdentifier(node.typeName)) names.push(node.typeName.text);
    if (ts.isExpressionWithTypeArguments(node)) names.push(node.expression.getText());
    ts.forEachChild(node, visit);
  };
  visit(declaration);
  return names;
}

/**
 * What stands below the doc comment.
 * @param {Declaration} declaration
 * @returns {string[]}
 */
function render(declaration) {
  if (ts.isFunctionDeclaration(declaration)) return [code(signature(declaration))];
  if (ts.isVariableDeclaration(declaration)) return [code(`const ${declaration.getText()}`)];
  if (ts.isTypeAliasDeclaration(declaration)) return [code(wrapUnion(withoutDocs(declaration).replace(/;$/, '')))];
  const parents = (declaration.heritageClauses ?? []).map((clause) => clause.getText()).join(' ');
  const kind = ts.isClassDeclaration(declaration) ? 'class' : 'interface';
  const head = `${kind} ${declaration.name?.text}${parents && ` ${parents}`}`;
  const members = [...declaration.members].filter((member) => !isPrivate(member));
  const properties = members.filter((member) => ts.isPropertySignature(member) || ts.isPropertyDeclaration(member));
  const calls = members.filter((member) => !properties.includes(/** @type {ts.PropertySignature} */ (member)));
  const rows = properties.map(
    (property) => `| \`${nameOf(property)}\` | ${cell(typeOf(property))} | ${prose(docOf(property))} |`,
  );
  return [
    parents ? code(head) : '',
    rows.length > 0 ? ['| | type | |', '|---|---|---|', ...rows].join('\n') : '',
    ...calls.flatMap((call) => [code(signature(call)), docOf(call)]),
  ];
}

/** @param {ts.ClassElement | ts.TypeElement} member */
function isPrivate(member) {
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
  return (member.name && ts.isPrivateIdentifier(member.name)) || (ts.getCombinedModifierFlags(member) & hidden) !== 0;
}

/** @param {ts.PropertySignature | ts.PropertyDeclaration} property */
const nameOf = (property) => `${property.name.getText()}${property.questionToken ? '?' : ''}`;

/** An optional member may be undefined in any case. @param {ts.PropertySignature | ts.PropertyDeclaration} property */
function typeOf(property) {
  const text = property.type
    ? withoutDocs(property.type)
    : 'initializer' in property
      ? (property.initializer?.getText() ?? '')
      : '';
  return property.questionToken ? text.replace(/\s*\| undefined$/, '').replace(/^\((.*)\)$/, '$1') : text;
}

/** @param {ts.Node} call */
const signature = (call) =>
  withoutDocs(call)
    .replace(/^declare /, '')
    .replace(/;$/, '');

/**
 * The text of a node, two blanks an indentation, without the doc comments inside.
 * @param {ts.Node} node
 */
function withoutDocs(node) {
  const text = node.getText().replace(/^ *\/\*\*[\s\S]*?\*\/\n/gm, '');
  // members of an interface stand one level in
  const margin = /\n( *)\S[^\n]*$/.exec(text)?.[1] ?? '';
  return text.replaceAll(`\n${margin}`, '\n').replaceAll('    ', '  ');
}

/** A union that is too long for a line, each alternative on its own. @param {string} text */
const wrapUnion = (text) =>
  text.length > 120 && !text.includes('\n')
    ? text.replaceAll(/ [|=] /g, (mark) => (mark === ' = ' ? ' =\n  | ' : '\n  | '))
    : text;

/** @param {string} text */
const code = (text) => `\`\`\`ts\n${text}\n\`\`\``;

/** A type as a cell of a table. @param {string} text */
const cell = (text) => `\`${text.replace(/\s+/g, ' ').replaceAll('|', '\\|')}\``;

/** Text as a cell of a table. @param {string} text */
const prose = (text) => text.replace(/\s+/g, ' ').replaceAll('|', '\\|');

/**
 * @param {ts.Node} node
 * @returns {string}
 */
function docOf(node) {
  const holder = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  const comments = ts.getJSDocCommentsAndTags(holder).filter(ts.isJSDoc);
  return ts.getTextOfJSDocComment(comments.at(-1)?.comment)?.trim() ?? '';
}

/** @param {string} doc */
const firstSentence = (doc) => prose(/^[\s\S]*?\.(?=\s|$)/.exec(doc)?.[0] ?? doc);
