// Reads annotations.txt as the runner does and says each line again with the toolkit's own writer.
'use strict';
const core = require('@actions/core');
const fs = require('fs');

const data = text => text.replace(/%0D/g, '\r').replace(/%0A/g, '\n').replace(/%25/g, '%');
const property = text => text.replace(/%0D/g, '\r').replace(/%0A/g, '\n').replace(/%3A/g, ':')
    .replace(/%2C/g, ',').replace(/%25/g, '%');

for (const line of fs.readFileSync(process.argv[2], 'utf8').split('\n').slice(0, -1)) {
    const [, command, given, message] = line.match(/^::(\w+) (.*?)::(.*)$/);
    const properties = {};
    for (const pair of given.split(',')) {
        const at = pair.indexOf('=');
        properties[pair.slice(0, at)] = property(pair.slice(at + 1));
    }
    core[command](data(message), {
        title: properties.title,
        file: properties.file,
        startLine: properties.line && Number(properties.line),
    });
}
